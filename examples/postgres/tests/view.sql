\ir lib/begin.sql
create table sale (day date, cents integer);
create view turnover as select day, sum(cents) as cents from sale group by day;
insert into sale values ('2024-02-28', 350), ('2024-02-29', 800), ('2024-02-29', 50);

do $$ begin
    assert (select cents from turnover where day = '2024-02-29') = 850;
end $$;
