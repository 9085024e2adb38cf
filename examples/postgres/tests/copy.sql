\ir lib/begin.sql
create table stock (article text, count integer);
copy stock from stdin (format csv);
tea,3
"cup, blue",1
\.

do $$ begin
    assert (select count from stock where article = 'cup, blue') = 1;
end $$;
