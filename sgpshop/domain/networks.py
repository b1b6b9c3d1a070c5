"""From where the shop is used (S4a): addresses and networks as people write them down."""

from __future__ import annotations

import ipaddress
import re

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: So many are compared with every request.
MOST = 100


def read(text: str) -> tuple[Network, ...]:
    """The addresses and networks of `text`, by lines, spaces or commas.

    Raises ValueError with a sentence for what is none, for too many, and for one that is everywhere.
    """
    found: list[Network] = []
    for written in re.split(r"[\s,、]+", text.strip()):
        if not written:
            continue
        try:
            network = ipaddress.ip_network(written, strict=False)
        except ValueError:
            raise ValueError(
                f"「{written[:60]}」は、IPアドレスでもネットワークでもありません"
                "(例 203.0.113.5、192.168.1.0/24、2001:db8::/48)。"
            ) from None
        if not network.prefixlen:
            raise ValueError("どこからでも使えるようにするには、空欄にしてください。")
        if network not in found:
            found.append(network)
        if len(found) > MOST:  # each is compared with all before it
            raise ValueError(f"{MOST}個まで入力できます。")
    return tuple(found)


def written(networks: tuple[Network, ...]) -> str:
    """One a line; a single address without its length."""
    return "\n".join(str(one[0] if one.num_addresses == 1 else one) for one in networks)


def holds(networks: tuple[Network, ...], address: str) -> bool:
    """Whether `address` is in one of them; what is no address (a Unix socket) is in none."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return any(ip in network for network in networks)
