"""Test support for applications: a fake model API, the running application, and databases.

The pytest plugin `chatkit_engine.testing.plugin` has the fixtures. Enable it with
`-p chatkit_engine.testing.plugin`, and set the ini option `chatkit_app` to the application's package.
"""
