"""A practice SMBC-GP gateway: the other side of the wire, a program of its own.

Speaks protocol.md §2-§5 with the decisions of its §13.1-13.8.  Imports nothing else of sgpshop.
"""

from .server import ConnectionDropped, GatewayServer, create_app, serve
