"""Each peer as one party: ``python -m two_party_systems.workers.NAME ROLE FOLDER ...`` in an interpreter of its own."""
