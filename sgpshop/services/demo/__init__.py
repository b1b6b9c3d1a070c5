"""A shop to try things out with: the shipped sample, its transactions made at the simulator."""

from sgpshop.services.demo.many import seed_many
from sgpshop.services.demo.rows import seed_rows
from sgpshop.services.demo.sample import SAMPLE
from sgpshop.services.demo.seeding import is_seeded, seed_sample

__all__ = ["SAMPLE", "is_seeded", "seed_many", "seed_rows", "seed_sample"]
