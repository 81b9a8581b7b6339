"""The client: what touches secrets. Keys, encryption and decryption; a server imports nothing from here."""

from hecc.runtime.extras import require

require("cryptography", "tenseal")
