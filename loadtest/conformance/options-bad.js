// Options that make no sense.
// k6 looks at `vus` only where something else asks for it.
// run: -e O={"vus":-1} => 0, ours 104
// run: -e O={"vus":-1,"iterations":2} => 104
// run: -e O={"vus":-1,"duration":"1s"} => 104
// run: -e O={"vus":0,"duration":"1s"} => 104
// run: -e O={"vus":"many"} => 104
// run: -e O={"vus":1.5} => 104
// run: -e O={"duration":"soon"} => 104
// run: -e O={"duration":"-1s"} => 104
// run: -e O={"iterations":-1} => 104
// run: -e O={"iterations":1,"vus":2} => 104
// run: -e O={"stages":[{"duration":"1s"}]} => 104
// run: -e O={"stages":5} => 104
// run: -e O={"scenarios":{"a":{}}} => 104
// run: -e O={"scenarios":{"a":{"executor":"nonsense"}}} => 104
// run: -e O={"scenarios":{"a":{"executor":"constant-vus"}}} => 104
// run: -e O={"scenarios":{"a":{"executor":"constant-vus","duration":"1s","colour":"red"}}} => 104
// run: -e O={"scenarios":{"a":{"executor":"shared-iterations","exec":"nowhere"}}} => 104
// run: -e O={"scenarios":{"a":{"executor":"shared-iterations","vus":0}}} => 104
// run: -e O={"scenarios":{"a_b!":{"executor":"shared-iterations"}}} => 104
// run: -e O={"scenarios":{"a":{"executor":"constant-arrival-rate","rate":1,"duration":"1s"}}} => 104
// run: -e O={"scenarios":{"a":{"executor":"constant-arrival-rate","preAllocatedVUs":1,"duration":"1s"}}} => 104
// run: -e O={"scenarios":{"a":{"executor":"constant-arrival-rate","rate":0,"preAllocatedVUs":1,"duration":"1s"}}} => 104
// run: -e O={"scenarios":{"a":{"executor":"constant-arrival-rate","rate":1,"preAllocatedVUs":2,"maxVUs":1,"duration":"1s"}}} => 104
// run: -e O={"scenarios":{"a":{"executor":"shared-iterations"}},"duration":"1s"} => 104
// run: -e O={"scenarios":{}} => 0
// run: -e O={"unknown":1} => 0
// k6 has no code for these.
// run: -e O={"summaryTrendStats":["p(200)"]} => 255, ours 104
// run: -e O={"summaryTrendStats":["nonsense"]} => 255, ours 104
// run: -e O={"systemTags":["nonsense"]} => 0
// run: -e O={"thresholds":5} => 104
// run: -e O={"thresholds":{"checks":"rate>1"}} => 104
// What stands there is no address, which k6 finds out when it connects.
// run: -e O={"hosts":{"a":"nonsense"}} => 0, ours 104
// run: -e O={"blacklistIPs":["nonsense"]} => 104
// run: -e O={"tags":{"a":1}} => 104
// run: -e O={"batch":"x"} => 104
// run: -e O={"noConnectionReuse":"yes"} => 104
// run: -e O={} -u -1 => 0, ours 104
// run: -e O={"iterations":2} -u -1 => 104
// run: -e O={} -i many => 255
// run: -e O={} --duration soon => 255
// run: -e O={} --nonsense => 255
// run: K6_VUS=many -e O={} => 104
// run: K6_DURATION=soon -e O={} => 104
export const options = JSON.parse(__ENV.O);

export default function () {}
