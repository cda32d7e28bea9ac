"""One look at the scopes for each job, and none for what a job has looked up already.

Every foreign key is a trigger and a look-up for each row.  A job's two keys to its tenant and its
project become one, which also says that the project is the tenant's.  A document and a result
come in the transaction of a job that has the same tenant, and an offer is never deleted.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE scope ADD CONSTRAINT uq_scope_id UNIQUE (id, tenant_id);
ALTER TABLE job
    DROP CONSTRAINT fk_job_tenant_id,
    DROP CONSTRAINT fk_job_project_id,
    ADD CONSTRAINT fk_job_project_id
        FOREIGN KEY (project_id, tenant_id) REFERENCES scope (id, tenant_id);
ALTER TABLE document DROP CONSTRAINT fk_document_tenant_id;
ALTER TABLE result DROP CONSTRAINT fk_result_tenant_id, DROP CONSTRAINT fk_result_offer_id;
"""

DOWN = """
ALTER TABLE result
    ADD CONSTRAINT fk_result_tenant_id FOREIGN KEY (tenant_id) REFERENCES scope (id),
    ADD CONSTRAINT fk_result_offer_id FOREIGN KEY (offer_id) REFERENCES offer (id);
ALTER TABLE document
    ADD CONSTRAINT fk_document_tenant_id FOREIGN KEY (tenant_id) REFERENCES scope (id);
ALTER TABLE job
    DROP CONSTRAINT fk_job_project_id,
    ADD CONSTRAINT fk_job_tenant_id FOREIGN KEY (tenant_id) REFERENCES scope (id),
    ADD CONSTRAINT fk_job_project_id FOREIGN KEY (project_id) REFERENCES scope (id);
ALTER TABLE scope DROP CONSTRAINT uq_scope_id;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
