\ir lib/begin.sql
create table stock (article text, count integer check (count >= 0));
insert into stock values ('tea', 1);

do $$ begin
    begin
        update stock set count = count - 2;
        assert false, 'more was sold than there is';
    exception when check_violation then
        null; -- as it should be
    end;
    assert (select count from stock) = 1;
end $$;
