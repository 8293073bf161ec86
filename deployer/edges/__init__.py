"""One vendor a module, no decisions; only `deployer.app` imports from here.

git               the class repository
releases          trees on disk, one of them live
airflow           its REST API, the parse feed
github            statuses, webhooks
journal           SQLAlchemy: SQLite, PostgreSQL
parser            files parsed in isolation
compose           the class's Airflow in containers
embedded          an Airflow of this user
packages          what compose and embedded share
processes         what our own processes need of the machine
messages          mail and chat, and what was sent there
class_repository  a class's own repository, written; `class_templates`: files of it
backup            all that can not be made anew, in one file
http              one server, asked without following redirects
disk              what is written is on it, or a DiskError
"""
