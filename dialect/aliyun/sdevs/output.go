package sdevs

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
)

// outputs are what ${module.output…} finds. All of it is known before anything is deployed, so that
// one pass resolves every variable (section 5.4).
func (m *module) outputs() *value {
	if m.out == nil {
		m.out = mapping(m.at) // seen by an output that needs itself
		switch m.kind {
		case fc:
			m.out = m.fc2Outputs()
		case fc3:
			m.out = m.fc3Outputs()
		case oss, website:
			m.out = m.ossOutputs()
		case apigateway:
			apis := m.apiOutputs()
			m.out = mapping(m.at, "domain", m.subDomain(), "apiResult", apis, "totalApiNumber", strconv.Itoa(len(apis.list)),
				"successApiNumber", strconv.Itoa(len(apis.list)), "failedApiNumber", "0", "failedApiNames", listing(m.at))
		case apiGateway:
			m.out = mapping(m.at, "region", m.regionOr(), "apiGroup", mapping(m.at, "groupName", m.group(), "subDomain", m.subDomain()),
				"apis", m.apiOutputs(), "domain", m.subDomain(), "custom_domain", m.customDomain())
		case jamstack:
			m.out = mapping(m.at, "domain", sluice.DNSLabel(m.props().at("app", "name").or("jamstack-api-demo"))+"."+m.regionOr()+".alicloudapi.localhost")
		case dns:
			m.out = mapping(m.at, "domain", m.props().at("domainName").str(), "domainName", m.props().at("domainName").str())
		case fcDomain:
			m.out = mapping(m.at, "domainName", m.props().at("domainName").str(), "domain", m.props().at("domainName").str())
		}
	}
	return m.out
}

// apiOutputs are the APIs of a gateway by their names.
func (m *module) apiOutputs() *value {
	list := listing(m.at)
	for _, a := range m.props().at("apis").items() {
		list.list = append(list.list, mapping(m.at, "apiName", a.at("apiName").str()))
	}
	return list
}

// also adds what a function's props say of some names to its output.
func also(out *value, fn view, names ...string) *value {
	for _, name := range names {
		if v := fn.at(name); !v.v.isNull() {
			out.fields = append(out.fields, field{name, out.at, scalar(out.at, v.str())})
		}
	}
	return out
}

func (m *module) fc2Outputs() *value {
	p := m.props()
	fn := p.at("function")
	region, service, name := m.regionOr(), m.service(), fn.at("name").or(m.name)
	path := "/2016-08-15/proxy/" + service + "/" + name + "/"
	base := fmt.Sprintf("https://%s.%s.fc.aliyuncs.com", m.accountID(), region)
	intranet := fmt.Sprintf("https://%s.%s-internal.fc.aliyuncs.com", m.accountID(), region)
	if m.r.in.Endpoint != nil {
		if own := m.r.in.Endpoint("fc"); own != "" {
			base = withScheme(own)
			intranet = base
		}
	}
	triggers, domains := listing(m.at), listing(m.at)
	for _, t := range p.at("triggers").items() {
		triggers.list = append(triggers.list, mapping(m.at, "type", t.at("type").str(), "name", t.at("name").str()))
	}
	for _, d := range p.at("customDomains").items() {
		host := hostOf(d.at("domainName").str())
		if host == "" {
			host = localHost(name, service)
		}
		domains.list = append(domains.list, mapping(m.at, "domain", host, "path", d.at("routeConfigs").first().at("path").or("/*")))
	}
	return mapping(m.at,
		"region", region,
		"service", mapping(m.at, "name", service),
		"function", also(mapping(m.at, "name", name, "runtime", fn.at("runtime").str(), "handler", fn.at("handler").or("index.handler"),
			"memorySize", fn.at("memorySize").or("128"), "timeout", fn.at("timeout").or("3")), fn, "cpu", "diskSize"),
		"url", mapping(m.at, "system_url", base+path, "system_intranet_url", intranet+path, "custom_domain", domains),
		"triggers", triggers)
}

func (m *module) fc3Outputs() *value {
	p := m.props()
	url := "https://" + m.fcapp()
	triggers := listing(m.at)
	for _, t := range p.at("triggers").items() {
		triggers.list = append(triggers.list, mapping(m.at, "triggerName", t.at("triggerName").str(), "triggerType", t.at("triggerType").str()))
	}
	host := hostOf(p.at("customDomain", "domainName").str())
	if host == "" {
		host = localHost(p.at("functionName").or(m.name), string(m.r.app.Name))
	}
	return also(mapping(m.at,
		"region", m.regionOr(),
		"functionName", p.at("functionName").or(m.name),
		"runtime", p.at("runtime").str(),
		"handler", p.at("handler").str(),
		"memorySize", p.at("memorySize").or("512"),
		"timeout", p.at("timeout").or("3"),
		"url", mapping(m.at, "system_url", url, "system_intranet_url", url, "custom_domain", host),
		"customDomain", mapping(m.at, "domainName", host),
		"triggers", triggers), p, "cpu", "diskSize")
}

// fcapp is the host that the cloud gives a function with an http trigger (FC 3.0).
func (m *module) fcapp() string {
	return sluice.DNSLabel(m.props().at("functionName").or(m.name)) + "." + m.regionOr() + ".fcapp.run"
}

func (m *module) accountID() string {
	if id := m.r.o.Config["AccountID"]; id != "" {
		return id
	}
	return account
}

func (m *module) ossOutputs() *value {
	bucket := m.bucket()
	domains := listing(m.at)
	for _, h := range m.bucketHosts() {
		domains.list = append(domains.list, scalar(m.at, h))
	}
	own := bucketHost(bucket, m.regionOr())
	domains.list = append(domains.list, scalar(m.at, own))
	return mapping(m.at, "Bucket", bucket, "Region", m.regionOr(), "OssAddress", "https://"+own, "Domains", domains)
}

func bucketHost(bucket, region string) string { return bucket + ".oss-" + region + ".aliyuncs.com" }

// group is the name of a module's API group.
func (m *module) group() string { return m.props().at("groupName").or(m.name) }

// subDomain is the group's own host (section 2.1).
func (m *module) subDomain() string {
	return sluice.DNSLabel(m.group()) + "." + m.regionOr() + ".alicloudapi.localhost"
}

// customDomain is the first host of its own that a gateway names, "" when it names none.
func (m *module) customDomain() string {
	for _, key := range []string{"customerDomain", "customDomain"} {
		for _, d := range m.props().at(key).items() {
			host := d
			if d.v.isMap() {
				host = d.at("domainName")
			}
			if h := hostOf(host.str()); h != "" {
				return h
			}
		}
	}
	return ""
}

// first is the view of a list's first item.
func (w view) first() view {
	if items := w.items(); len(items) > 0 {
		return items[0]
	}
	return view{m: w.m, spot: w.spot, name: w.name}
}

func withScheme(addr string) string {
	if strings.Contains(addr, "://") {
		return strings.TrimRight(addr, "/")
	}
	return "http://" + strings.TrimRight(addr, "/")
}
