// Open-loop load for k6: one request an arrival, each with the next body of a file, whatever the server does.
// Two latencies are kept: from the moment that the plan set, and from the sending. The first is the honest one, but the
// plan is only known while no arrival was dropped for want of a free client; load.py takes the one that holds.
import exec from 'k6/execution';
import http from 'k6/http';
import { SharedArray } from 'k6/data';
import { Counter, Trend } from 'k6/metrics';

const bodies = new SharedArray('bodies', () => open(__ENV.BODIES).split('\n').filter((line) => line !== ''));
const perSecond = Number(__ENV.RATE);
const first = Number(__ENV.FIRST);
const goodMs = Number(__ENV.GOOD_MS);
const headers = { 'Content-Type': 'application/json' };
if (__ENV.DEADLINE_MS) headers['X-Request-Timeout-Ms'] = __ENV.DEADLINE_MS;
const parameters = { headers, timeout: `${__ENV.GIVE_UP_MS}ms`, responseType: 'none', redirects: 0 };

const sent = new Counter('sent');
const answered = new Counter('answered');
const refused = new Counter('refused');
const good = { planned: new Counter('good_planned'), sent: new Counter('good_sent') };
const latency = { planned: new Trend('latency_planned', true), sent: new Trend('latency_sent', true) };
const late = new Trend('late', true);

const closed = { executor: 'shared-iterations', vus: Number(__ENV.VUS), iterations: Number(__ENV.COUNT), maxDuration: '2h' };
const opened = {
  executor: 'constant-arrival-rate',
  // k6 wants whole arrivals a time unit: so many in ten seconds give rates of a tenth.
  rate: Math.round(perSecond * 10),
  timeUnit: '10s',
  duration: `${__ENV.DURATION_S}s`,
  preAllocatedVUs: Number(__ENV.VUS),
  maxVUs: Number(__ENV.VUS),
  gracefulStop: `${__ENV.GIVE_UP_MS}ms`,
};

export const options = {
  discardResponseBodies: true,
  systemTags: [],
  summaryTrendStats: ['count', 'med', 'p(90)', 'p(99)', 'max'],
  scenarios: { load: __ENV.COUNT ? closed : opened },
};

export default function () {
  const number = exec.scenario.iterationInTest;
  const lateMs = perSecond ? Math.max(0, Date.now() - exec.scenario.startTime - (number * 1000) / perSecond) : 0;
  sent.add(1);
  const answer = http.post(__ENV.URL, bodies[(first + number) % bodies.length], parameters);
  late.add(lateMs);
  if (answer.status === 200) {
    const tookMs = answer.timings.blocked + answer.timings.connecting + answer.timings.duration;
    answered.add(1);
    for (const [since, ms] of [['planned', lateMs + tookMs], ['sent', tookMs]]) {
      latency[since].add(ms);
      if (ms <= goodMs) good[since].add(1);
    }
  } else if (answer.status === 429 || answer.status === 503 || answer.status === 504) {
    refused.add(1);
  }
}

export function handleSummary(data) {
  const values = Object.fromEntries(Object.entries(data.metrics).map(([name, metric]) => [name, metric.values]));
  return { [__ENV.SUMMARY]: JSON.stringify(values) };
}
