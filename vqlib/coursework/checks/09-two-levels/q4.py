from otter.test_files import test_case

OK_FORMAT = False

name = "q4"
points = None

@test_case(points=1, hidden=False)
def test_q4_two_networks(verdict):
    import numpy as np
    from vqlib.coursework import probe
    top, bottom = (np.array([[0, 3, 1], [2, 2, 0]]), np.arange(24).reshape(4, 6) % 4)
    numbers = np.arange(24).reshape(4, 6)
    earlier = numbers[..., None, None] > numbers
    networks = [(np.ones((4, 6, 2, 3), bool), seen) for seen in (earlier, np.ones((4, 6, 4, 6), bool))]
    answers = probe('answers_about_networks', verdict, networks, top, bottom)
    hints = {('right', None): 'verdict returns nothing yet for it.', ('right', 'ahead'): 'Which of two positions is drawn first? Have rows and columns of a table changed places?', ('right', 'top masked'): 'All of the top is drawn before the bottom. What would be later?', ('right', 'itself'): 'Does the logit at a position move with the code at that very position?', ('ahead', None): 'verdict returns nothing yet for it.', ('ahead', 'itself'): 'It sees its own code, too, but if several words fit, the first of them counts.', ('ahead', 'right'): 'Which codes may it not see?'}
    says = ('sees all of the top and every earlier bottom code', 'sees all of both grids')
    for network, truth, answer in zip(says, ('right', 'ahead'), answers, strict=True):
        if answer != truth:
            raise AssertionError(f"A network {network}, and verdict says {answer!r}. {hints.get((truth, answer), '')}")
