"""The beats of the learn phase, in order."""

from __future__ import annotations

from typing import Any

from selfheal.contract import Handler
from selfheal_handlers.learning.assess_success import assess_success
from selfheal_handlers.learning.calculate_improvement import calculate_improvement
from selfheal_handlers.learning.collect_post_deployment_metrics import (
    collect_post_deployment_metrics,
)
from selfheal_handlers.learning.compare_metrics import compare_metrics
from selfheal_handlers.learning.generate_insights import generate_insights
from selfheal_handlers.learning.load_deployment_info import load_deployment_info
from selfheal_handlers.learning.store_effectiveness import store_effectiveness
from selfheal_handlers.learning.track_completed import track_completed
from selfheal_handlers.learning.track_requested import track_requested
from selfheal_handlers.learning.update_learning_models import update_learning_models

HANDLERS: tuple[Handler[..., Any], ...] = (
    track_requested,
    load_deployment_info,
    collect_post_deployment_metrics,
    compare_metrics,
    calculate_improvement,
    assess_success,
    update_learning_models,
    generate_insights,
    store_effectiveness,
    track_completed,
)
