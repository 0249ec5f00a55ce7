"""Tests the sums of usage."""

from chatkit_engine.store.usage import UsageTotal, total


def _amount(cost: float | None) -> UsageTotal:
    return UsageTotal(
        requests=2,
        input_tokens=30,
        cached_tokens=10,
        output_tokens=5,
        reasoning_tokens=1,
        cost=cost,
        unpriced_requests=2 if cost is None else 0,
    )


def test_the_cost_of_several_models_is_their_sum() -> None:
    assert total([_amount(0.5), _amount(0.25)]).cost == 0.75


def test_one_model_without_a_price_makes_the_total_cost_unknown() -> None:
    summed = total([_amount(0.5), _amount(None)])

    assert (summed.cost, summed.unpriced_requests, summed.requests) == (None, 2, 4)


def test_no_usage_has_no_cost() -> None:
    assert total([]) == UsageTotal.model_validate(dict.fromkeys(UsageTotal.model_fields, 0))
