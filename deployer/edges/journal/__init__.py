"""The journal in a database: SQLAlchemy Core, SQLite by default, PostgreSQL by URL.

sql_journal    `SqlJournal`, the port's one real implementation: which function in which transaction
transactions/  those functions: what is written and asked, each given a connection
database       connections, transactions, and a database's errors in our words
sqlite_files   SQLite's three files: are those that are open still those of that name?
schema         is the schema there, and whose turn it is to migrate it
migrations/    Alembic's, shipped inside the package; imported only for a journal of before
tables         the schema as the code sees it, and the column types
codec          the core's values as JSON, and made of that or of a row
"""

from deployer.edges.journal.sql_journal import SqlJournal

__all__ = ["SqlJournal"]
