// Does the cache ask once for each page, and answer the rest itself?
//
// First a stampede: VUS users ask for one new page at the same moment. Then KEYS pages of a Zipf kind
// for DURATION seconds. The gateway's Cache-Status (RFC 9211) says who was asked: of requests that
// went on to the service and were not joined to another, there may be one for each page.
import http from 'k6/http';
import { check } from 'k6';
import exec from 'k6/execution';
import { Counter, Rate } from 'k6/metrics';

const TARGET = __ENV.TARGET || 'http://127.0.0.1:8080';
const PATH = __ENV.PATH_CACHED || '/news';
const KEYS = Number(__ENV.KEYS || 200);
const VUS = Number(__ENV.VUS || 50);
const DURATION = Number(__ENV.DURATION || 5);

const hits = new Rate('cache_hits');
const asked = new Counter('cache_asked');
const stampede = new Counter('cache_asked_in_stampede');

export const options = {
  scenarios: {
    stampede: { executor: 'per-vu-iterations', vus: VUS, iterations: 1, exec: 'together' },
    pages: { executor: 'constant-vus', vus: VUS, duration: `${DURATION}s`, startTime: '1s', exec: 'pages' },
  },
  thresholds: {
    cache_asked_in_stampede: ['count==1'],
    cache_asked: [`count<=${KEYS}`],
    cache_hits: ['rate>0.5'],
    checks: ['rate==1'],
  },
};

// Another set of pages in each run.
export function setup() {
  return { run: __ENV.RUN || String(Date.now()) };
}

// What Cache-Status of the gateway itself says: the last member of the list.
function look(response) {
  const status = response.headers['Cache-Status'] || '';
  check(response, {
    'it is answered': (r) => r.status === 200,
    'Cache-Status says how': () => status.includes('hit') || status.includes('fwd='),
  });
  return { hit: status.includes('; hit'), asked: status.includes('fwd=') && !status.includes('collapsed') };
}

export function together({ run }) {
  // Connections are opened before, so that all ask at the same moment.
  http.get(`${TARGET}${PATH}?run=${run}&warm=${exec.vu.idInTest}`);
  const seen = look(http.get(`${TARGET}${PATH}?run=${run}&stampede=1`));
  if (seen.asked) stampede.add(1);
}

export function pages({ run }) {
  // Zipf of exponent 1, near enough.
  const key = Math.floor(Math.pow(KEYS + 1, Math.random())) - 1;
  const seen = look(http.get(`${TARGET}${PATH}?run=${run}&page=${key}`));
  hits.add(seen.hit);
  if (seen.asked) asked.add(1);
}
