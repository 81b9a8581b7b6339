"""Microsoft SEAL, through ``tenseal.sealapi``: contexts, streams, and the reference evaluator."""

from hecc.runtime.extras import require

require("tenseal")
