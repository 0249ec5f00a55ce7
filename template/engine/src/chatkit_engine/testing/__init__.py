"""What tests of an application need: a fake model API, the running application, and databases.

`plugin` is a pytest plugin with the fixtures. Switch it on with `-p chatkit_engine.testing.plugin`,
and name the application's package in the ini option `chatkit_app`.
"""
