// handleSummary() instead of the program's.
// run: => 0
// run: -e HOW=empty => 0
// run: -e HOW=number => 0
// run: -e HOW=nothing => 0
// run: -e HOW=abort => 0
// run: -e HOW=text => 0
// run: --no-summary => 0
import { check, group } from 'k6';
import exec from 'k6/execution';
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';

const counter = new Counter('counted'), gauge = new Gauge('gauged'), rate = new Rate('rated');
const trend = new Trend('trended', true);
export const options = {
  iterations: 3,
  thresholds: { counted: ['count==3', 'count<100'], 'rated{a:b}': ['rate==1'] },
  summaryTrendStats: ['min', 'max', 'count'],
};

export default function () {
  check(1, { passes: true, fails: false });
  group('inner', () => check(1, { 'inside passes': true }));
  counter.add(1); gauge.add(__ITER); rate.add(true, { a: 'b' }); rate.add(false); trend.add(2);
}

const sorted = (object) => object && Object.fromEntries(Object.entries(object).sort());

export function handleSummary(data) {
  if (__ENV.HOW === 'empty') return {};
  if (__ENV.HOW === 'nothing') return undefined;
  if (__ENV.HOW === 'abort') exec.test.abort('enough');
  if (__ENV.HOW === 'text') return 'a text';
  if (__ENV.HOW === 'number') return { stdout: 5 };
  const lines = [];
  for (const name of ['counted', 'gauged', 'rated', 'rated{a:b}', 'trended', 'checks', 'iterations']) {
    const metric = data.metrics[name];
    const values = name.startsWith('rated') || name === 'checks' ? metric.values
      : { ...metric.values, rate: undefined };
    lines.push(`${name} ${metric.type} ${metric.contains} ${JSON.stringify(sorted(values))} ` +
      JSON.stringify(sorted(metric.thresholds)));
  }
  const walk = (group, depth) => {
    lines.push(`${' '.repeat(depth)}${group.name}|${group.path}|${group.id}`);
    for (const c of group.checks) lines.push(`${' '.repeat(depth)}- ${c.name} ${c.path} ${c.id} ${c.passes} ${c.fails}`);
    for (const inner of group.groups) walk(inner, depth + 1);
  };
  walk(data.root_group, 0);
  lines.push(Object.keys(data).sort().join());
  lines.push(Object.keys(data.state).sort().join(), JSON.stringify(sorted(data.options)));
  return { stdout: `${lines.join('\n')}\n`, 'own.txt': 'written' };
}
