"""The alarm of the risk monitor where no person looks: in the metrics and in `/readyz`, as on the page."""

from datetime import timedelta
from typing import Any

from starlette.testclient import TestClient

from serving.journal.database import Database
from serving.journal.lotteries import set_lottery
from serving.journal.store import Store
from tests.serving.desks import made
from tests.workbench.conftest import on_both
from tests.workbench.test_risk import PATH, read, text_of

pytestmark = on_both


def said(client: TestClient) -> tuple[str, Any]:
    """What `/readyz` says of the champion, once it was looked at, and its status."""
    client.app.state.risk.look()  # type: ignore[attr-defined] # an application of ours
    answer = client.get("/readyz")
    assert answer.status_code == 200
    return answer.json()["risk"]["champion"]["state"], answer.json()["risk"]["champion"]["e_value"]


def test_the_alarm_of_the_page_is_in_the_metrics_and_leaves_the_server_ready(
    client: TestClient, database: Database, store: Store
) -> None:
    assert said(client) == ("off", None)
    begun = database.write(set_lottery, chance=1.0, by="ann").since
    store.write([made(place, "where is my parcel", begun + timedelta(minutes=1 + place)) for place in range(30)])
    assert said(client) == ("nothing", 1.0)
    for place in range(30):
        read(database, place, "sensitive" if place % 2 else "simple")
    state, e_value = said(client)
    assert (state, e_value > 20) == ("alarm", True)
    assert f"e-value {e_value:.3g}; alarm at 20" in text_of(client.get(PATH))
    page = client.get("/metrics").text
    assert 'signalbox_risk_state{role="champion",state="alarm"} 1.0' in page
    assert f'signalbox_risk_e_value{{role="champion"}} {e_value}' in page
