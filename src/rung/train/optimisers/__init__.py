"""Optimisers by name: what each is (`table`), how one is made for a module (`build`), and the rules that no library has."""
