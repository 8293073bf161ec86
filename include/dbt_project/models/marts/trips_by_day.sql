select
    month,
    cast(picked_up_at as date) as day,
    count(*) as trips,
    sum(miles) as miles,
    sum(tip_amount) as tips,
    sum(total_amount) as revenue
from {{ ref('stg_trips') }}
where month = '{{ var("month") }}-01'
group by month, cast(picked_up_at as date)
