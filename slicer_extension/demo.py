"""The whole way of a volume, without Slicer's window: `python slicer_extension/demo.py [FOLDER]`.

Starts a server with the shipped models on this computer, opens a MRML scene, loads the MNI152 T1 template
that comes inside the nilearn package (nothing is downloaded), and uses the Slicer module's own client, logic
and views: translates T1 to T2 and FLAIR, denoises a noisy copy, draws samples and suggests segmentations with
every model of the server that can, is refused for a volume that is no brain, cancels a job. Results, reports
and pictures are left in FOLDER (default: demo-output).
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(1, str(Path(__file__).resolve().parent / "MedGAN"))
    from demo_steps import main

    sys.exit(main())
