"""Microsoft SEAL, through ``tenseal.sealapi``: contexts, streams, and the reference evaluator."""
