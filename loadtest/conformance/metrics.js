// Custom metrics of all four kinds, and what may be added to them.
// run: => 0
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
import { saw, tried } from './lib/saw.js';

const metrics = {
  counter: new Counter('my_counter'), gauge: new Gauge('my_gauge'), rate: new Rate('my_rate'),
  trend: new Trend('my_trend'), time: new Trend('my_time', true), unused: new Counter('unused'),
};
const same = new Counter('my_counter');

export const options = { iterations: 2, summaryTrendStats: ['avg', 'min', 'max', 'count', 'med'] };

export default function () {
  for (const [name, metric] of Object.entries(metrics)) {
    if (name === 'unused') continue;
    const values = {
      one: 1, half: 0.5, zero: 0, large: 1e9, text: '3', 'a word': 'x', 'an empty text': '',
      yes: true, no: false, nothing: null, missing: undefined, nan: NaN, list: [4], object: {},
    };
    for (const [what, value] of Object.entries(values)) {
      tried(`${name} ${what}`, () => metric.add(value));
    }
    tried(`${name} tags`, () => metric.add(2, { a: 'b', n: 1, yes: true }));
    tried(`${name} no tags`, () => metric.add(2, null));
    tried(`${name} nothing at all`, () => metric.add());
    saw(`${name} is called`, metric.name);
  }
  tried('less', () => metrics.counter.add(-1));
  tried('a gauge below', () => metrics.gauge.add(-5));
  tried('a trend below', () => metrics.trend.add(-5));
  same.add(100);
  metrics.gauge.add(7);
}
