-- Begins each test: this is the worker's own database, what the test before has left goes, and nobody else writes here.
\set pid `echo "$ORCHESTRATE_PID"`
set test.pid = :'pid';
do $$ begin
    assert current_database() = 'db_' || current_setting('test.pid'), current_database();
end $$;

set client_min_messages = warning;
drop schema public cascade;
create schema public;

create table visitor (pid text);
insert into visitor values (:'pid');
do $$ begin
    perform pg_sleep(0.1);
    assert (select array_agg(pid) from visitor) = array[current_setting('test.pid')], 'somebody else was here';
end $$;
