"""``python -m model_bundle.hitmictools run -c config.yml -w worklist.txt``"""

from ._run import main

if __name__ == "__main__":
    main()
