"""Sentence embeddings beside a document's own figures, by the model that made them.

A table of its own: who has no model of his own writes nothing and reads nothing of it, and a
change of the model changes no document.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE embedding (
    document_id BIGINT NOT NULL,
    model TEXT NOT NULL,
    vector BYTEA NOT NULL,
    CONSTRAINT pk_embedding PRIMARY KEY (document_id, model),
    CONSTRAINT fk_embedding_document_id FOREIGN KEY (document_id)
        REFERENCES document (id) ON DELETE CASCADE,
    CONSTRAINT ck_embedding_vector CHECK (octet_length(vector) >= 2)
);

-- Of floats that are as good as random nothing is saved by compressing them.
ALTER TABLE embedding ALTER vector SET STORAGE EXTERNAL;

GRANT SELECT, INSERT, UPDATE, DELETE ON embedding TO apportion_app;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP TABLE embedding")
