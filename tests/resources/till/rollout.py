"""A team's own rollout script over its fleet: ``rollout.py FLEET REPOSITORY VERB PERCENT …``."""

import json
import subprocess
import sys
from pathlib import Path

from selfheal.delivery.fleet import Fleet

folder, repository, verb, percent, commit, old, new = sys.argv[1:]
fleet = Fleet(Path(folder))
share = int(percent)

if verb == "current":
    percents = fleet.routing().percents
    print(json.dumps({"release": max(percents, key=percents.get), "percent": percents.get(new, 0)}))
elif verb == "prepare":
    checkout = fleet.checkout(new)
    if not checkout.is_dir():
        checkout.mkdir(parents=True)
        archive = subprocess.run(
            ["git", "-C", repository, "archive", commit], capture_output=True, check=True
        )
        subprocess.run(["tar", "-x", "-C", str(checkout)], input=archive.stdout, check=True)
    fleet.start(checkout, new, commit, 1)
elif verb == "shift":
    fleet.route({old: 100 - share, new: share})
elif verb == "health":
    sys.exit(0 if all(fleet.healthy(each) for each in fleet.instances(new)) else 1)
elif verb == "retire":
    fleet.stop(old if share == 100 else new)
