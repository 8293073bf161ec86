"""How a class's packages are proven, and how they get into Airflow's containers.

way          what a way must do
image        packages are in an image
plain        containers install proven pins at each start
image_build  build an image of our own files and one text
proving      what is asked of packages, and whose fault a no is
throwaway    a container for one command
"""
