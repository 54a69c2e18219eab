"""The benchmark against other ways to run the same networks; see ``test_peers.py`` beside this folder."""
