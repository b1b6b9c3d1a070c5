"""`app` for WSGI servers; run as a program, the command line of contract.md §2."""

if __name__ == "__main__":
    from sgpshop.cli import main

    main()
elif __name__ != "__mp_main__":  # a process that makes something for the program above
    from sgpshop import create_app

    app = create_app()
