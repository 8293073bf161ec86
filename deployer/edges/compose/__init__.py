"""The class's Airflow in Docker Compose.

services       `ComposeServices`: implements `ports.Services`
image_way      packages get into containers in an image that is built of `requirements.txt`
plain_way      the containers install a list of pinned packages themselves at each start
proving        what is asked of packages in containers for one command, and whose fault a no is
other_airflow  another version of Airflow: its `.env`, its database
engine         a client of it, its errors, the project's containers
commands       every command line of Compose
runner         runs them, never twice at a time; the file as Compose understands it

Both ways prove first and move later, by the three names of `deployer.edges.packages.slots`.
"""
