"""The class's Airflow in Docker Compose.

services     `ComposeServices`: implements `ports.Services`
ways         what a way must do
image_way    packages are in an image
plain_way    containers install proven pins at each start
image_build  build an image of our own files and one text
other_airflow  another version of Airflow: its `.env`, its database
proving      what is asked of packages, and whose fault a no is
throwaway    a container for one command
containers   the project's, looked at and judged
engine       a client of it; what goes wrong on the way there
commands     every command line of Compose
runner       runs them, never twice at a time
stack        the file as Compose understands it
"""
