// What a summary says of trends.
// run: => 0
// run: --summary-trend-stats avg,p(99.99),count => 0
// run: K6_SUMMARY_TREND_STATS=med,p(25) => 0
import { Trend } from 'k6/metrics';

const trend = new Trend('numbers');
export const options = { iterations: 1 };

export default function () {
  for (let i = 1; i <= 1000; i++) trend.add(i);
}
