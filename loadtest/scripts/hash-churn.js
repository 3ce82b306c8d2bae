// Do keys stay where they are while endpoints go and come?
//
// For an upstream whose endpoints say who they are, in the header WHO or else in the first word of the
// body, and where the query's KEY_NAME decides which is asked: notes who answers each of KEYS keys, and
// asks for them again and again for DURATION seconds, while you stop an endpoint. A key that moves
// although its endpoint still answers others has moved without need: of no more than MOVED of the keys
// may that be said, and no more than FAILED of the requests may fail.
import http from 'k6/http';
import { fail } from 'k6';
import { Counter, Gauge, Rate } from 'k6/metrics';

const TARGET = __ENV.TARGET || 'http://127.0.0.1:8080';
const PATH = __ENV.PATH_HASHED || '/';
const KEY_NAME = __ENV.KEY_NAME || 'key';
const WHO = __ENV.WHO;
const KEYS = Number(__ENV.KEYS || 200);
const DURATION = Number(__ENV.DURATION || 10);
const MOVED = Number(__ENV.MOVED || 0.02);
const FAILED = Number(__ENV.FAILED || 0.01);

const moved = new Gauge('keys_moved_without_need');
const gone = new Gauge('endpoints_gone');
const failed = new Rate('failed');
const rounds = new Counter('rounds');

export const options = {
  scenarios: {
    keys: { executor: 'constant-vus', vus: 1, duration: `${DURATION}s`, gracefulStop: '30s' },
  },
  setupTimeout: '2m',
  thresholds: {
    keys_moved_without_need: [`value<=${MOVED}`],
    failed: [`rate<=${FAILED}`],
    rounds: ['count>=3'],
  },
};

// Who answers the key; nothing when nobody does.
function owner(key) {
  const response = http.get(`${TARGET}${PATH}?${KEY_NAME}=${key}`, { tags: { name: 'key' } });
  failed.add(response.status !== 200);
  if (response.status !== 200) return undefined;
  return WHO ? response.headers[WHO] : response.body.split(' ')[0];
}

export function setup() {
  const owners = Array.from({ length: KEYS }, (_, key) => owner(key));
  const distinct = new Set(owners.filter((one) => one !== undefined));
  if (distinct.size < 2) fail(`${distinct.size} endpoints answer: name the header that says which with WHO`);
  return owners;
}

let worst = 0;
const last = [];

export default function (owners) {
  const now = owners.map((_, key) => owner(key));
  const alive = new Set(now);
  // An endpoint that goes or comes within a round is judged by the rounds before and after it.
  last.push({ now, alive });
  if (last.length > 3) last.shift();
  if (last.length === 3) {
    const judged = last[1].now;
    const without = owners.filter((before, key) => judged[key] !== undefined &&
      judged[key] !== before && last.every((round) => round.alive.has(before)));
    worst = Math.max(worst, without.length / owners.length);
  }
  moved.add(worst);
  gone.add(new Set(owners.filter((before) => !alive.has(before))).size);
  rounds.add(1);
}
