"""Who needs what: when a file moves, which DAG files are read anew, and which are held with it.

import_graph     who imports what moved
data_references  who names in a string what moved
affected         both, to the end; the modules that are held with the DAG files they harm; what an
                 isolated parse of a file may read
"""
