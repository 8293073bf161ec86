-- Both marts count the month's trips as staging does: none lost, none twice, and there are some.
with counted as (

    select
        (
            select count(*) from {{ ref('stg_trips') }}
            where month = '{{ var("month") }}-01'
        ) as staged,
        (
            select coalesce(sum(trips), 0) from {{ ref('trips_by_day') }}
            where month = '{{ var("month") }}-01'
        ) as by_day,
        (
            select coalesce(sum(trips), 0) from {{ ref('trips_by_zone') }}
            where month = '{{ var("month") }}-01'
        ) as by_zone

)

select *
from counted
where staged = 0 or staged <> by_day or staged <> by_zone
