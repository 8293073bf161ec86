"""The journal in a database: SQLAlchemy Core, SQLite by default, PostgreSQL by URL.

store        `SqlJournal`, the port's one real implementation: which function in which transaction
engine       connections, transactions, and a database's errors in our words
files        SQLite's three files: are those that are open still those of that name?
schema       is the schema there, and whose turn it is to migrate it
migrations/  Alembic's, shipped inside the package; imported only for a journal of before
tables       the schema as the code sees it, and the column types
codec        the core's values as JSON, and made of that or of a row
deliveries   many threads' deliveries in one commit to disk
deployments  what the worker writes
outbox       statuses owed to GitHub, until when it takes none
marks        what is live, what was refused, pools emptied, the heartbeat
reading      whole deployments
auditing     what is not as it must be at any moment
logins       who is let in, and the key that signs links
troubles     what the teacher is told of
pruning      what is old and decides nothing any more
"""

from deployer.edges.journal.store import SqlJournal

__all__ = ["SqlJournal"]
