select
    month,
    pickup_zone,
    to_char(month, 'YYYY-MM') || ' ' || pickup_zone as zone_month,
    count(*) as trips,
    avg(miles) as miles_a_trip,
    sum(total_amount) as revenue
from {{ ref('stg_trips') }}
where month = '{{ var("month") }}-01'
group by month, pickup_zone
