"""Whether adapting the network to a measurement helps: python scripts/adaptation.py scenario=nodes_16 output=DIR."""

from unfolded_ogamp.commands.main import main

if __name__ == "__main__":
    main("adaptation")
