"""What every scheme agrees on: plans and their files, and the interfaces of schemes, clients and servers."""
