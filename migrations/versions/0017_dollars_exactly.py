"""Finance's USD columns are multiplied, and not divided, from the nano-dollars.

A quotient has 16 digits: from 110 million USD on, the last of the nine decimals were rounded away.
A product has as many decimals as its factors, nine.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

VIEW = """
CREATE OR REPLACE VIEW finance_budget AS
SELECT scope.path AS scope, scope.kind, budget.starts_on, budget.ends_on,
       limit_nusd, spent_nusd, reserved_nusd,
       limit_nusd - spent_nusd - reserved_nusd AS free_nusd, overrun_nusd,
       limit_nusd {usd} AS limit_usd,
       spent_nusd {usd} AS spent_usd,
       reserved_nusd {usd} AS reserved_usd,
       (limit_nusd - spent_nusd - reserved_nusd) {usd} AS free_usd
FROM budget JOIN scope ON scope.id = budget.scope_id;
"""


def upgrade() -> None:
    op.execute(VIEW.format(usd="* 0.000000001"))


def downgrade() -> None:
    op.execute(VIEW.format(usd="::numeric / 1000000000"))
