// Is a slow endpoint asked less than the others?
//
// For an upstream of which one endpoint is slow: VUS users ask for DURATION seconds; then the admin API
// says how many requests each endpoint of UPSTREAM got. The one with the highest latency must have
// less than SHARE of an equal part, and the rest no more than EVEN times the least of them.
import http from 'k6/http';
import { check, fail } from 'k6';
import { Gauge } from 'k6/metrics';

const TARGET = __ENV.TARGET || 'http://127.0.0.1:8080';
const ADMIN = __ENV.ADMIN || 'http://127.0.0.1:9901';
const PATH = __ENV.PATH_PLAIN || '/';
const UPSTREAM = __ENV.UPSTREAM;
const SHARE = Number(__ENV.SHARE || 0.5);
const EVEN = Number(__ENV.EVEN || 1.5);

const slow = new Gauge('share_of_the_slow_one');
const spread = new Gauge('most_over_least_of_the_others');

export const options = {
  scenarios: {
    users: {
      executor: 'constant-vus',
      vus: Number(__ENV.VUS || 20),
      duration: `${Number(__ENV.DURATION || 10)}s`,
    },
  },
  thresholds: {
    share_of_the_slow_one: [`value<${SHARE}`],
    most_over_least_of_the_others: [`value<=${EVEN}`],
    checks: ['rate==1'],
  },
};

function endpoints() {
  const response = http.get(`${ADMIN}/upstreams`);
  if (response.status !== 200) fail(`${ADMIN}/upstreams says ${response.status}`);
  const { upstreams } = response.json();
  const found = UPSTREAM ? upstreams.find((one) => one.name === UPSTREAM) : upstreams[0];
  if (!found || found.endpoints.length < 2) fail('no upstream with two endpoints: name it with UPSTREAM');
  return found.endpoints;
}

export function setup() {
  return endpoints().map((one) => [one.address, one.requests]);
}

export default function () {
  check(http.get(TARGET + PATH), { 'it is answered': (r) => r.status === 200 });
}

export function teardown(before) {
  const earlier = Object.fromEntries(before);
  const got = endpoints().map((one) => ({
    requests: one.requests - (earlier[one.address] || 0),
    latency: one.latency_seconds ? one.latency_seconds.p50 : 0,
  }));
  got.sort((a, b) => b.latency - a.latency);
  const [slowest, ...others] = got;
  const all = got.reduce((sum, one) => sum + one.requests, 0);
  if (all === 0) fail('the upstream got no requests');
  slow.add((slowest.requests * got.length) / all);
  const counts = others.map((one) => one.requests);
  spread.add(Math.max(...counts) / Math.max(1, Math.min(...counts)));
}
