\ir lib/begin.sql
create table stock (article text);
begin;
insert into stock values ('tea');
rollback;

do $$ begin
    assert not exists (select from stock);
end $$;
