package sdevs

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
)

// outputs are what ${module.output…} finds. All of it is known before anything is deployed, so that
// one pass resolves every variable (section 5.4).
func (m *module) outputs() *value {
	if m.out == nil {
		m.out = template.Map(m.at) // seen by an output that needs itself
		switch m.kind {
		case fc:
			m.out = m.fc2Outputs()
		case fc3:
			m.out = m.fc3Outputs()
		case oss, website:
			m.out = m.ossOutputs()
		case apigateway:
			apis := m.apiOutputs()
			m.out = template.Map(m.at, "domain", m.subDomain(), "apiResult", apis, "totalApiNumber", strconv.Itoa(len(apis.List)),
				"successApiNumber", strconv.Itoa(len(apis.List)), "failedApiNumber", "0", "failedApiNames", template.List(m.at))
		case apiGateway:
			m.out = template.Map(m.at, "region", m.regionOr(), "apiGroup", template.Map(m.at, "groupName", m.group(), "subDomain", m.subDomain()),
				"apis", m.apiOutputs(), "domain", m.subDomain(), "custom_domain", m.customDomain())
		case jamstack:
			m.out = template.Map(m.at, "domain", sluice.DNSLabel(m.props().at("app", "name").or("jamstack-api-demo"))+"."+m.regionOr()+".alicloudapi.localhost")
		case dns:
			m.out = template.Map(m.at, "domain", m.props().at("domainName").str(), "domainName", m.props().at("domainName").str())
		case fcDomain:
			m.out = template.Map(m.at, "domainName", m.props().at("domainName").str(), "domain", m.props().at("domainName").str())
		}
	}
	return m.out
}

// apiOutputs are the APIs of a gateway by their names.
func (m *module) apiOutputs() *value {
	list := template.List(m.at)
	for _, a := range m.props().at("apis").items() {
		list.List = append(list.List, template.Map(m.at, "apiName", a.at("apiName").str()))
	}
	return list
}

// also adds what a function's props say of some names to its output.
func also(out *value, fn view, names ...string) *value {
	for _, name := range names {
		if v := fn.at(name); !v.v.IsNull() {
			out.Fields = append(out.Fields, field{Key: name, At: out.At, Value: template.Text(out.At, v.str())})
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
	triggers, domains := template.List(m.at), template.List(m.at)
	for _, t := range p.at("triggers").items() {
		triggers.List = append(triggers.List, template.Map(m.at, "type", t.at("type").str(), "name", t.at("name").str()))
	}
	for _, d := range p.at("customDomains").items() {
		host := hostOf(d.at("domainName").str())
		if host == "" {
			host = localHost(name, service)
		}
		domains.List = append(domains.List, template.Map(m.at, "domain", host, "path", d.at("routeConfigs").first().at("path").or("/*")))
	}
	return template.Map(m.at,
		"region", region,
		"service", template.Map(m.at, "name", service),
		"function", also(template.Map(m.at, "name", name, "runtime", fn.at("runtime").str(), "handler", fn.at("handler").or("index.handler"),
			"memorySize", fn.at("memorySize").or("128"), "timeout", fn.at("timeout").or("3")), fn, "cpu", "diskSize"),
		"url", template.Map(m.at, "system_url", base+path, "system_intranet_url", intranet+path, "custom_domain", domains),
		"triggers", triggers)
}

func (m *module) fc3Outputs() *value {
	p := m.props()
	url := "https://" + m.fcapp()
	triggers := template.List(m.at)
	for _, t := range p.at("triggers").items() {
		triggers.List = append(triggers.List, template.Map(m.at, "triggerName", t.at("triggerName").str(), "triggerType", t.at("triggerType").str()))
	}
	host := hostOf(p.at("customDomain", "domainName").str())
	if host == "" {
		host = localHost(p.at("functionName").or(m.name), string(m.r.app.Name))
	}
	return also(template.Map(m.at,
		"region", m.regionOr(),
		"functionName", p.at("functionName").or(m.name),
		"runtime", p.at("runtime").str(),
		"handler", p.at("handler").str(),
		"memorySize", p.at("memorySize").or("512"),
		"timeout", p.at("timeout").or("3"),
		"url", template.Map(m.at, "system_url", url, "system_intranet_url", url, "custom_domain", host),
		"customDomain", template.Map(m.at, "domainName", host),
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
	domains := template.List(m.at)
	for _, h := range m.bucketHosts() {
		domains.List = append(domains.List, template.Text(m.at, h))
	}
	own := bucketHost(bucket, m.regionOr())
	domains.List = append(domains.List, template.Text(m.at, own))
	return template.Map(m.at, "Bucket", bucket, "Region", m.regionOr(), "OssAddress", "https://"+own, "Domains", domains)
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
			if d.v.IsMap() {
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
