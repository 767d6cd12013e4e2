def test_x(climbed, rung):
    print(rung("report","run")); print(rung("ask","run","a b"))
    assert 0
