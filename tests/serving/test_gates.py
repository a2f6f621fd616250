from concurrent.futures import ThreadPoolExecutor

import pytest

from data.post import Post
from tests.serving.clients import WAIT_S, MakePredictor
from tests.serving.gates import FAULT_WORD, GATE_WORD, FaultyClassifier, GatedClassifier


def test_a_gated_classifier_waits_for_its_gate_and_only_at_its_word(make_predictor: MakePredictor) -> None:
    classifier = GatedClassifier()
    predictor = make_predictor(classifier)
    assert predictor.predict([Post(text="parcel")])
    assert not classifier.entered.is_set()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(predictor.predict, [Post(text=f"parcel {GATE_WORD}")])
        assert classifier.entered.wait(WAIT_S)
        assert not waiting.done()
        classifier.gate.set()
        assert waiting.result(WAIT_S)[0].route == "simple"


def test_a_faulty_classifier_breaks_at_its_word_alone(make_predictor: MakePredictor) -> None:
    predictor = make_predictor(FaultyClassifier())
    assert predictor.predict([Post(text="parcel")])
    with pytest.raises(ValueError, match=FAULT_WORD):
        predictor.predict([Post(text=f"parcel {FAULT_WORD}")])
