"""Where the network for grain boundaries and the verdict on them come from: fields whose grains are known."""
