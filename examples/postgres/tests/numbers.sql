\ir lib/begin.sql
create table bill (number integer generated always as identity, customer text);
insert into bill (customer) values ('ann'), ('bob'), ('ann');

do $$ begin
    assert (select array_agg(number order by number) from bill where customer = 'ann') = array[1, 3];
end $$;
