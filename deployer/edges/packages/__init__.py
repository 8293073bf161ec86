"""What uv and pip say, and the slots between which packages move; for all ways of services.

slots             the names between which packages move, and room on the disk for them
installer_output  what is made of what uv and pip say
"""
