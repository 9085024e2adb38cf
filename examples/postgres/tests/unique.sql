\ir lib/begin.sql
create table customer (name text unique);
insert into customer values ('ann');

do $$ begin
    begin
        insert into customer values ('ann');
        assert false, 'ann is there twice';
    exception when unique_violation then
        null; -- as it should be
    end;
end $$;
